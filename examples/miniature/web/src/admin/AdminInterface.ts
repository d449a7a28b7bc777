/**
 * @file Entry point of /if/admin/.
 */

import { Interface } from "#elements/Interface";

import "./applications/ApplicationListPage.js";
import "./system/TaskListPage.js";
import "./system/HelpPage.js";

import { msg } from "@lit/localize";
import { html, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";

const pages: Record<string, () => TemplateResult> = {
    "#/core/applications": () => html`<ak-application-list></ak-application-list>`,
    "#/events/tasks": () => html`<ak-task-list></ak-task-list>`,
    "#/help": () => html`<ak-help></ak-help>`,
};

const firstPage = "#/core/applications";

@customElement("ak-interface-admin")
export class AdminInterface extends Interface {
    @state()
    private page = window.location.hash;

    #navigated = () => {
        this.page = window.location.hash;
    };

    override connectedCallback(): void {
        super.connectedCallback();
        window.addEventListener("hashchange", this.#navigated);
    }

    override disconnectedCallback(): void {
        window.removeEventListener("hashchange", this.#navigated);
        super.disconnectedCallback();
    }

    protected override renderLinks() {
        return html`
            <a href="#/core/applications">${msg("Applications")}</a>
            <a href="#/events/tasks">${msg("Tasks")}</a>
            <a href="#/help">${msg("Help")}</a>
            <a href="/if/user/">${msg("User interface")}</a>
        `;
    }

    protected override renderContent() {
        const page = pages[this.page] ?? pages[firstPage]!;

        return page();
    }
}

declare global {
    interface HTMLElementTagNameMap {
        "ak-interface-admin": AdminInterface;
    }
}
