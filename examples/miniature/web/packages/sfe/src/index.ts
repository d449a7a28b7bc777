/**
 * @file The log-in without custom elements, modules or fetch: for web views and browsers of another age.
 *
 * Only the types of the generated client are used: its code asks for more than these browsers have.
 */

import "formdata-polyfill";
import "weakmap-polyfill";

import type { Config, GenericError, LoginRequest, SessionUser } from "@goauthentik/api";

import $ from "jquery";

/** What the API sends: the client's types name fields as JavaScript does. */
interface ConfigAnswer {
    brand_title: Config["brandTitle"];
}

interface SessionAnswer {
    user: Pick<SessionUser["user"], "username">;
}

const container = $("#flow-sfe-container");

function field(name: keyof LoginRequest, label: string, type: string) {
    return $("<label>", { class: "d-block mb-3" })
        .text(label)
        .append($("<input>", { class: "form-control", name: name, type: type, required: true }));
}

function say(message: string) {
    container.find("[role=alert]").text(message).removeClass("d-none");
}

function loggedIn(answer: SessionAnswer) {
    const next = /[?&]next=([^&]*)/.exec(window.location.search);
    const path = next ? decodeURIComponent(next[1]) : "";
    container.text(answer.user.username);
    // A path of this host only.
    window.location.assign(/^\/(?![\/\\])/.test(path) ? path : "/if/user/");
}

function logIn(request: LoginRequest) {
    $.ajax({
        type: "POST",
        url: "/api/v3/core/login/",
        data: JSON.stringify(request),
        contentType: "application/json",
        dataType: "json",
        success: loggedIn,
        error: function (answer) {
            const body = answer.responseJSON as GenericError | undefined;
            say(body && body.detail ? body.detail : "The log-in failed.");
        },
    });
}

function render(brand: string) {
    const form = $("<form>", { class: "card card-body mx-auto mt-5", style: "max-width: 24rem" })
        .append($("<h1>", { class: "h4" }).text(brand))
        .append($("<div>", { class: "alert alert-danger d-none", role: "alert" }))
        .append(field("username", "Username", "text"))
        .append(field("password", "Password", "password"))
        .append($("<button>", { class: "btn btn-primary btn-block", type: "submit" }).text("Log in"));

    form.on("submit", function (event) {
        event.preventDefault();
        const data = new FormData(form.get(0) as HTMLFormElement);
        logIn({ username: String(data.get("username")), password: String(data.get("password")) });
    });
    container.empty().append(form);
}

$.getJSON("/api/v3/root/config/")
    .done(function (config: ConfigAnswer) {
        document.title = config.brand_title;
        render(config.brand_title);
    })
    .fail(function () {
        render("authentik");
    });
