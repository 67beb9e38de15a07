"""The pages of the admin panel that are not Django's own, and its one way in."""

from __future__ import annotations

from django.urls import path

from project.views import admin_signin, doctor, overview

urlpatterns = [
    path("login/", admin_signin.sign_in, name="admin_sign_in"),
    path("overview/", overview.show, name="admin_overview"),
    path("overview/repair/", overview.repair, name="admin_repair"),
    path("overview/repair-all/", overview.repair_all, name="admin_repair_all"),
    path("overview/stop-all/", overview.stop, name="admin_stop_all"),
    path("doctor/", doctor.show, name="admin_doctor"),
    path("doctor/start/", doctor.start, name="admin_doctor_start"),
    path("doctor/report.txt", doctor.report, name="admin_doctor_report"),
]
