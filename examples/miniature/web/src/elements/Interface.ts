/**
 * @file What the interfaces behind the log-in have in common: configuration, user, title bar.
 */

import { AKElement } from "./Base.js";
import { sharedStyles } from "./styles.js";
import { DEFAULT_CONFIG } from "#common/api/config";
import { describeError, isUnauthorized } from "#common/api/errors";
import { BuildVersion, configContext, userContext } from "#common/ui/config";
import { FlowURL, loginURL } from "#common/ui/links";
import { activateLocale } from "#common/ui/locale";

import "./Message.js";

import { type Config, CoreApi, RootApi, type UserSelf } from "@goauthentik/api";
import { provide } from "@lit/context";
import { msg, str } from "@lit/localize";
import { css, html, nothing, type TemplateResult } from "lit";
import { state } from "lit/decorators.js";

export abstract class Interface extends AKElement {
    static override styles = [
        sharedStyles,
        css`
            header {
                padding: 0.8rem 1.5rem;
                background: var(--ak-header);
                color: #fff;
            }

            header a,
            header button {
                border-color: transparent;
                background: transparent;
                color: inherit;
            }

            header img {
                display: block;
                height: 1.8rem;
            }

            main {
                max-width: 64rem;
                margin: 0 auto;
                padding: 1.5rem;
            }

            footer {
                padding: 1.5rem;
                text-align: center;
            }
        `,
    ];

    @provide({ context: configContext })
    @state()
    protected config: Config | null = null;

    @provide({ context: userContext })
    @state()
    protected user: UserSelf | null = null;

    @state()
    protected failure: string | null = null;

    protected abstract renderContent(): TemplateResult;

    protected renderLinks(): TemplateResult | typeof nothing {
        return nothing;
    }

    override connectedCallback(): void {
        super.connectedCallback();
        void this.load();
    }

    async load(): Promise<void> {
        await activateLocale();
        try {
            const [config, session] = await Promise.all([
                new RootApi(DEFAULT_CONFIG).rootConfigRetrieve(),
                new CoreApi(DEFAULT_CONFIG).coreUsersMeRetrieve(),
            ]);
            this.config = config;
            this.user = session.user;
            document.title = config.brandTitle;
        } catch (error) {
            if (isUnauthorized(error)) {
                window.location.assign(loginURL(window.location.pathname + window.location.hash));
                return;
            }
            this.failure = await describeError(error);
        }
    }

    #logOut = async () => {
        try {
            await new CoreApi(DEFAULT_CONFIG).coreLogoutCreate();
        } catch (error) {
            if (!isUnauthorized(error)) {
                this.failure = await describeError(error);
                return;
            }
        }
        window.location.assign(FlowURL);
    };

    override render() {
        return html`
            <header class="row spread">
                <span class="row">
                    ${this.config ? html`<img src=${this.config.brandIcon} alt="" />` : nothing}
                    <strong>${this.config?.brandTitle ?? "authentik"}</strong>
                    ${this.renderLinks()}
                </span>
                ${this.user
                    ? html`<span class="row">
                          <span data-test="username">${this.user.name || this.user.username}</span>
                          <button type="button" @click=${this.#logOut}>${msg("Log out")}</button>
                      </span>`
                    : nothing}
            </header>
            <main>
                ${this.failure ? html`<ak-message level="error">${this.failure}</ak-message>` : nothing}
                ${this.user ? this.renderContent() : this.failure ? nothing : html`<p>${msg("Loading…")}</p>`}
            </main>
            <footer class="muted">
                <small>${msg(str`Version ${this.config?.version ?? BuildVersion}`)}</small>
            </footer>
        `;
    }
}
