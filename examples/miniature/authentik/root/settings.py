"""Django's settings, all out of authentik.lib.config. Paths are relative to the working directory, which is `/`."""

from pathlib import Path

from authentik import authentik_version
from authentik.lib.config import CONFIG
from authentik.lib.logging import level_name, logging_config, setup

BASE_DIR = Path(__file__).absolute().parent.parent.parent
DEBUG = CONFIG.get_bool("debug")
SECRET_KEY = CONFIG.get("secret_key") or ("insecure: debug only" if DEBUG else "")
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "authentik.root.urls"
ASGI_APPLICATION = "authentik.root.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "authentik_core.User"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.admin",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "django_prometheus",
    "guardian",
    "django_postgres_queue",
    "authentik.api",
    "authentik.admin",
    "authentik.core",
    "authentik.events",
    "authentik.blueprints",
    "authentik.sources.kerberos",
    "authentik.stages.email",
    "authentik.enterprise",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "authentik.core.context.brand",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django_prometheus.db.backends.postgresql",
        "HOST": CONFIG.get("postgresql.host"),
        "PORT": CONFIG.get_int("postgresql.port"),
        "NAME": CONFIG.get("postgresql.name"),
        "USER": CONFIG.get("postgresql.user"),
        "PASSWORD": CONFIG.get("postgresql.password"),
        "OPTIONS": {"pool": True} if CONFIG.get_bool("postgresql.use_pool") else {},
    }
}
POSTGRES_QUEUE = {
    "task_model": "authentik_events.Task",
    "threads": CONFIG.get_int("worker.threads", 2),
}

# Sessions and requests: the Go server stands in front, on the same machine.
SESSION_COOKIE_NAME = "authentik_session"
CSRF_COOKIE_NAME = "authentik_csrf"
CSRF_HEADER_NAME = "HTTP_X_AUTHENTIK_CSRF"
LOGIN_URL = "authentik_core:default-authentication"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
USE_X_FORWARDED_HOST = True
SECURE_CROSS_ORIGIN_OPENER_POLICY = None

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]

LANGUAGE_CODE = "en-us"
LOCALE_PATHS = ["./locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# What the Go server serves is /static/; this is the little that Django's own administration needs.
STATIC_URL = "/django-admin/static/"

EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = CONFIG.get("email.host")
EMAIL_PORT = CONFIG.get_int("email.port")
DEFAULT_FROM_EMAIL = CONFIG.get("email.from")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "authentik.api.authentication.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "authentik.api.pagination.Pagination",
    "DEFAULT_FILTER_BACKENDS": [
        "django_filters.rest_framework.DjangoFilterBackend",
        "rest_framework.filters.OrderingFilter",
        "rest_framework.filters.SearchFilter",
    ],
    "DEFAULT_RENDERER_CLASSES": ["drf_orjson_renderer.renderers.ORJSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["drf_orjson_renderer.parsers.ORJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "TEST_REQUEST_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}
SPECTACULAR_SETTINGS = {
    "TITLE": "authentik",
    "DESCRIPTION": "A miniature with the shape of authentik.",
    "VERSION": authentik_version(),
    "SCHEMA_PATH_PREFIX": r"/api/v3",
    "SCHEMA_PATH_PREFIX_TRIM": True,
    "SERVERS": [{"url": "/api/v3"}],
    "COMPONENT_SPLIT_REQUEST": True,
    "COMPONENT_NO_READ_ONLY_REQUIRED": False,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "ENUM_NAME_OVERRIDES": {"TaskStateEnum": "django_postgres_queue.models.TaskState"},
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "authentik.api.schema.postprocess_errors",
    ],
}

LOG_LEVEL = level_name(CONFIG.get("log_level"))
LOGGING_CONFIG = "logging.config.dictConfig"
LOGGING = logging_config(LOG_LEVEL)
setup(LOG_LEVEL)

TEST_RUNNER = "authentik.root.test_runner.QuietRunner"
