(async () => {
  await new Promise((done) => setTimeout(done, 100))
  throw new Error('no answer from the queue')
})()
