import asyncio, json, logging.config, ssl

with open("settings.json") as file:
    settings = json.load(file)
