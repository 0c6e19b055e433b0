"""The web room of the application: pages for analysts and an HTTP API for programs, over the same results table.

`app.create_app` puts the rooms together. It reads results and hands uploads to the intake; it never scores,
never creates a table and knows of DynamoDB only what `crimes.results` shows. The same app runs under uvicorn
(`server.py`) and behind API Gateway (`lambda_.py`).
"""
