"""The web package of the application: pages for analysts and an HTTP API for programs, over the results table.

`app.create_app` assembles the modules. It reads results and hands uploads to the intake; it never scores, never
creates a table and knows of DynamoDB only what `crimes.results` shows. The same app runs under uvicorn
(`server.py`) and under API Gateway (`lambda_.py`).
"""
