/**
 * @file Entry point of /if/user/.
 */

import "./Library.js";

import { Interface } from "#elements/Interface";

import { msg } from "@lit/localize";
import { html, nothing } from "lit";
import { customElement } from "lit/decorators.js";

@customElement("ak-interface-user")
export class UserInterface extends Interface {
    protected override renderLinks() {
        return this.user?.isSuperuser ? html`<a href="/if/admin/">${msg("Admin interface")}</a>` : nothing;
    }

    protected override renderContent() {
        return html`<ak-library></ak-library>`;
    }
}

declare global {
    interface HTMLElementTagNameMap {
        "ak-interface-user": UserInterface;
    }
}
