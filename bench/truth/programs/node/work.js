const end = Date.now() + 300
while (Date.now() < end) JSON.parse(JSON.stringify([...Array(1000).keys()]))
throw new Error('the third table is missing')
