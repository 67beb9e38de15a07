"""Every address Sandbank answers, on one screen."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from disks.api import router as disks
from project.api import api
from project.endpoints import router as projects
from project.views import health, no_such_page
from sandboxes.api import router as sandboxes

api.add_router("", sandboxes)
api.add_router("", disks)
# Last: the identifier of a user may hold slashes, and would swallow what comes behind it.
api.add_router("", projects)

urlpatterns = [
    path("health", health),
    path("api/v1/", api.urls),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(url="/admin/"), name="home"),
]

handler404 = no_such_page
