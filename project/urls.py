"""Every address Sandbank answers, on one screen."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.decorators.http import require_POST

from disks.api import router as disks
from project.api import api
from project.endpoints import router as projects
from project.views.errors import no_such_page, not_allowed, not_understood, our_fault
from project.views.health import health
from project.views.home import home
from project.views.projects import switch
from project.views.signin import SignIn, SignOut
from sandboxes.api import router as sandboxes

api.add_router("", sandboxes)
api.add_router("", disks)
# Last: the identifier of a user may hold slashes, and would swallow what comes behind it.
api.add_router("", projects)

urlpatterns = [
    path("health", health),
    path("api/v1/", api.urls),
    path("admin/", include("project.admin_urls")),
    path("admin/", admin.site.urls),
    path("", home, name="home"),
    path("login/", SignIn.as_view(), name="login"),
    path("logout/", SignOut.as_view(), name="logout"),
    path("projects/<uuid:project_id>/switch/", require_POST(switch), name="switch_project"),
    path("", include("project.page_urls")),
    path("", include("sandboxes.urls")),
    path("", include("disks.urls")),
]

handler400 = not_understood
handler403 = not_allowed
handler404 = no_such_page
handler500 = our_fault
