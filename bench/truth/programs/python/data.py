import asyncio, sqlite3, os

print(len(os.listdir("@CLOSED@")))
raise SystemExit("the directory was to be closed")
