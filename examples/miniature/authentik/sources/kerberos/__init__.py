"""Users of a Kerberos realm: in the miniature, its client configuration"""
