"""The API, as the web interface uses it"""

from datetime import timedelta
from json import loads

from django.test import Client, TestCase
from django.utils.timezone import now
from guardian.shortcuts import assign_perm, remove_perm
from rest_framework.test import APIClient

from authentik import authentik_full_version
from authentik.core.models import Application, Brand, Token, User
from authentik.core.tasks import clean_tokens
from authentik.events.models import Task

API = "/api/v3"
APPLICATIONS = f"{API}/core/applications/"


class TestLogin(TestCase):
    """Log in, log out"""

    def setUp(self):
        self.user = User.objects.create_user("jane", "jane@localhost.example", "correct horse")
        self.client = APIClient(enforce_csrf_checks=True)

    def login(self, password: str = "correct horse"):
        return self.client.post(f"{API}/core/login/", {"username": "jane", "password": password})

    def test_wrong(self):
        """A wrong password is 401, a missing one 400"""
        self.assertEqual(self.login("battery staple").status_code, 401)
        response = self.client.post(f"{API}/core/login/", {"username": "jane"})
        self.assertEqual(response.status_code, 400)
        self.assertIn("password", loads(response.content))

    def test_session(self):
        """Reading needs the session, writing the CSRF header too"""
        self.assertEqual(self.client.get(f"{API}/core/users/me/").status_code, 401)
        self.assertEqual(self.login().status_code, 200)
        me = self.client.get(f"{API}/core/users/me/").json()
        self.assertEqual(me["user"]["username"], "jane")
        self.assertIsNone(me["token"])
        self.assertEqual(self.client.post(f"{API}/core/logout/").status_code, 403)
        csrf = self.client.cookies["authentik_csrf"].value
        response = self.client.post(f"{API}/core/logout/", HTTP_X_AUTHENTIK_CSRF=csrf)
        self.assertEqual(response.status_code, 204)
        self.assertEqual(self.client.get(f"{API}/core/users/me/").status_code, 401)
        self.assertFalse(Token.objects.exists())

    def test_bearer(self):
        """The token alone is enough, until it is revoked"""
        token = self.login().json()["token"]
        client = APIClient(enforce_csrf_checks=True)
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        self.assertEqual(client.get(f"{API}/core/users/me/").json()["user"]["pk"], self.user.pk)
        self.assertEqual(client.post(f"{API}/core/logout/").status_code, 204)
        self.assertEqual(client.get(f"{API}/core/users/me/").status_code, 401)

    def test_expired(self):
        """An expired token is refused, then deleted"""
        token = Token.objects.create(
            identifier="old", user=self.user, expires=now() - timedelta(seconds=1)
        )
        self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {token.key}")
        self.assertEqual(self.client.get(f"{API}/core/users/me/").status_code, 401)
        clean_tokens()
        self.assertFalse(Token.objects.exists())


class TestApplications(TestCase):
    """Applications"""

    def setUp(self):
        self.admin = User.objects.create_superuser("admin")
        self.user = User.objects.create_user("jane")
        self.client = APIClient()
        self.client.force_authenticate(self.admin)

    def create(self, slug: str = "wiki", **more):
        return self.client.post(APPLICATIONS, {"name": slug.title(), "slug": slug, **more})

    def test_life(self):
        """Create, read, change, delete"""
        created = self.create(launch_url="https://wiki.example/")
        self.assertEqual(created.status_code, 201, created.content)
        url = f"{APPLICATIONS}wiki/"
        self.assertEqual(self.client.get(url).json()["pk"], created.json()["pk"])
        patched = self.client.patch(url, {"description": "Pages"}).json()
        self.assertEqual((patched["name"], patched["description"]), ("Wiki", "Pages"))
        self.assertEqual(self.client.delete(url).status_code, 204)
        self.assertEqual(self.client.get(url).status_code, 404)

    def test_invalid(self):
        """Each error stands at its field"""
        self.create()
        response = self.create(launch_url="javascript:alert(1)")
        self.assertEqual(response.status_code, 400)
        self.assertEqual(sorted(response.json()), ["launch_url", "slug"])

    def test_pages(self):
        """Pages, search, order"""
        for name in ("gitea", "wiki", "webmail"):
            self.create(name)
        page = self.client.get(APPLICATIONS, {"page_size": 2, "ordering": "-name"}).json()
        self.assertEqual([a["slug"] for a in page["results"]], ["wiki", "webmail"])
        self.assertEqual((page["pagination"]["count"], page["pagination"]["next"]), (3, 2))
        found = self.client.get(APPLICATIONS, {"search": "mail"}).json()
        self.assertEqual([a["slug"] for a in found["results"]], ["webmail"])

    def test_permissions(self):
        """Users see what they may see"""
        self.create()
        application = Application.objects.get()
        self.client.force_authenticate(self.user)
        self.assertEqual(self.client.get(APPLICATIONS).json()["results"], [])
        assign_perm("authentik_core.view_application", self.user, application)
        self.assertTrue(self.user.has_perm("authentik_core.view_application", application))
        self.assertEqual(len(self.client.get(APPLICATIONS).json()["results"]), 1)
        self.assertEqual(self.client.delete(f"{APPLICATIONS}wiki/").status_code, 404)
        remove_perm("authentik_core.view_application", self.user, application)
        self.assertEqual(self.client.get(f"{APPLICATIONS}wiki/").status_code, 404)

    def test_check(self):
        """A check is a task; its owner sees it, others do not"""
        self.create()
        response = self.client.post(f"{APPLICATIONS}wiki/check/")
        self.assertEqual((response.status_code, response.json()["state"]), (202, "queued"))
        task = Task.objects.get()
        self.assertEqual((str(task.pk), task.owner), (response.json()["uuid"], self.admin))
        self.client.force_authenticate(self.user)
        self.assertEqual(self.client.get(f"{API}/events/tasks/").json()["results"], [])


class TestPages(TestCase):
    """Pages and public information"""

    def test_config(self):
        """Public, and with the brand"""
        self.assertEqual(self.client.get(f"{API}/root/config/").json()["brand_title"], "authentik")
        Brand.objects.create(title="ACME")
        config = self.client.get(f"{API}/root/config/").json()
        self.assertEqual(config["brand_title"], "ACME")
        self.assertEqual(config["version"], authentik_full_version())
        self.assertNotIn("is_enterprise", config["capabilities"])

    def test_login_page(self):
        """Names the file that the web half builds, with the version in it"""
        response = self.client.get("/", follow=True)
        self.assertContains(
            response, f"/static/dist/flow/FlowInterface-{authentik_full_version()}.js"
        )
        self.assertIn("/if/flow/default-authentication-flow/?next=", response.redirect_chain[-1][0])
        self.assertIn("authentik_csrf", self.client.cookies)
        self.assertEqual(self.client.get("/if/flow/no-such-flow/").status_code, 404)

    def test_sfe(self):
        """The log-in for old browsers"""
        response = self.client.get("/if/flow/default-authentication-flow/?sfe")
        self.assertContains(response, "/static/dist/sfe/index.js")

    def test_interfaces(self):
        """Users have one, administrators two"""
        client = Client()
        client.force_login(User.objects.create_user("jane"))
        self.assertContains(client.get("/if/user/"), "dist/user/UserInterface-")
        self.assertEqual(client.get("/if/admin/").status_code, 403)
        client.force_login(User.objects.create_superuser("admin"))
        self.assertContains(client.get("/if/admin/"), "dist/admin/AdminInterface-")

    def test_django_admin(self):
        """Django's own administration has its style sheet"""
        self.assertContains(self.client.get("/django-admin/login/"), "/django-admin/static/")
        self.assertEqual(
            self.client.get("/django-admin/static/admin/css/base.css").status_code, 200
        )

    def test_health(self):
        """Alive and ready"""
        for name in ("live", "ready"):
            self.assertEqual(self.client.get(f"/-/health/{name}/").status_code, 200)
        self.assertContains(self.client.get("/-/metrics/"), "django_http_requests_total")
