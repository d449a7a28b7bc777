import "#elements/Message";

import { DEFAULT_CONFIG } from "#common/api/config";
import { userContext } from "#common/ui/config";
import { safeLaunchURL } from "#common/ui/links";
import { AKElement } from "#elements/Base";
import { sharedStyles } from "#elements/styles";

import { type Application, CoreApi, type UserSelf } from "@goauthentik/api";
import { consume } from "@lit/context";
import { msg, str } from "@lit/localize";
import { Task } from "@lit/task";
import { css, html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";

/** The applications that a user may open. */
@customElement("ak-library")
export class Library extends AKElement {
    static override styles = [
        sharedStyles,
        css`
            .cards {
                display: grid;
                grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr));
                gap: var(--ak-gap);
            }
        `,
    ];

    @consume({ context: userContext, subscribe: true })
    @state()
    private user: UserSelf | null = null;

    #list = new Task(this, {
        task: (_, { signal }) =>
            new CoreApi(DEFAULT_CONFIG).coreApplicationsList({ pageSize: 100, ordering: "name" }, { signal }),
        args: () => [],
    });

    #renderCard = (application: Application) => {
        const url = safeLaunchURL(application.launchUrl);

        return html`<article class="card">
            <h2>${application.name}</h2>
            <p class="muted">${application.description}</p>
            ${url ? html`<a class="button" href=${url} rel="noopener">${msg("Open")}</a>` : nothing}
        </article>`;
    };

    override render() {
        return html`
            <h1>${msg(str`Welcome, ${this.user?.name || this.user?.username || ""}`)}</h1>
            ${this.#list.render({
                pending: () => html`<p>${msg("Loading…")}</p>`,
                error: (error) => html`<ak-message level="error">${String(error)}</ak-message>`,
                complete: ({ results }) =>
                    results.length > 0
                        ? html`<div class="cards">${results.map(this.#renderCard)}</div>`
                        : html`<p>${msg("There are no applications yet.")}</p>`,
            })}
        `;
    }
}

declare global {
    interface HTMLElementTagNameMap {
        "ak-library": Library;
    }
}
