import asyncio, json

def serve(port:
    pass
