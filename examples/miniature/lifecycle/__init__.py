"""How the application is started"""
