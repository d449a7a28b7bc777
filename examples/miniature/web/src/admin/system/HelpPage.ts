import { AKElement } from "#elements/Base";

import applications from "~docs/applications.md";

import { html } from "lit";
import { customElement } from "lit/decorators.js";
import { unsafeHTML } from "lit/directives/unsafe-html.js";

/** Pages of the documentation; they are part of the build, not of any answer. */
@customElement("ak-help")
export class HelpPage extends AKElement {
    override render() {
        return html`<h1>${applications.title}</h1>
            <article class="card">${unsafeHTML(applications.html)}</article>`;
    }
}

declare global {
    interface HTMLElementTagNameMap {
        "ak-help": HelpPage;
    }
}
