module goauthentik.io/api/v3

go 1.25.0
