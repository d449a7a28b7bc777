/**
 * @file Entry point of /if/flow/: the log-in.
 */

import "#elements/Message";

import { DEFAULT_CONFIG } from "#common/api/config";
import { describeError } from "#common/api/errors";
import { nextURL } from "#common/ui/links";
import { activateLocale } from "#common/ui/locale";
import { AKElement } from "#elements/Base";
import { sharedStyles } from "#elements/styles";

import { type Config, CoreApi, RootApi } from "@goauthentik/api";
import { msg, str } from "@lit/localize";
import { css, html, nothing } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";

@customElement("ak-flow-executor")
export class FlowExecutor extends AKElement {
    static override styles = [
        sharedStyles,
        css`
            :host {
                display: grid;
                min-height: 100vh;
                place-items: center;
                background: var(--ak-header);
            }

            form {
                box-sizing: border-box;
                width: min(24rem, 100vw);
            }

            img {
                display: block;
                height: 2.5rem;
                margin-bottom: var(--ak-gap);
            }

            button {
                width: 100%;
            }
        `,
    ];

    @property()
    slug = "";

    @query("form")
    private form!: HTMLFormElement;

    @state()
    private config: Config | null = null;

    @state()
    private failure = "";

    @state()
    private busy = false;

    override connectedCallback(): void {
        super.connectedCallback();
        void this.#load();
    }

    async #load() {
        await activateLocale();
        try {
            this.config = await new RootApi(DEFAULT_CONFIG).rootConfigRetrieve();
            document.title = this.config.brandTitle;
        } catch (error) {
            this.failure = await describeError(error);
        }
    }

    #submitted = async (event: SubmitEvent) => {
        event.preventDefault();
        const data = new FormData(this.form);

        this.busy = true;
        this.failure = "";
        try {
            const { user } = await new CoreApi(DEFAULT_CONFIG).coreLoginCreate({
                loginRequest: { username: String(data.get("username")), password: String(data.get("password")) },
            });
            window.location.assign(nextURL(window.location.search, user.isSuperuser ? "/if/admin/" : "/if/user/"));
        } catch (error) {
            this.failure = await describeError(error);
            this.busy = false;
        }
    };

    override render() {
        const brand = this.config?.brandTitle ?? "authentik";

        return html`
            <form class="card" @submit=${this.#submitted}>
                ${this.config ? html`<img src=${this.config.brandIcon} alt="" />` : nothing}
                <h1>${msg(str`Welcome to ${brand}!`)}</h1>
                ${this.failure ? html`<ak-message level="error">${this.failure}</ak-message>` : nothing}
                <label>
                    ${msg("Username")}
                    <input name="username" autocomplete="username" required autofocus />
                </label>
                <label>
                    ${msg("Password")}
                    <input name="password" type="password" autocomplete="current-password" required />
                </label>
                <button class="primary" ?disabled=${this.busy}>${msg("Log in")}</button>
            </form>
        `;
    }
}

declare global {
    interface HTMLElementTagNameMap {
        "ak-flow-executor": FlowExecutor;
    }
}
