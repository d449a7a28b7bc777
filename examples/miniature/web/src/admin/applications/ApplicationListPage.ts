import "#elements/Message";
import "./ApplicationForm.js";

import { DEFAULT_CONFIG } from "#common/api/config";
import { describeError } from "#common/api/errors";
import { AKElement } from "#elements/Base";

import { type Application, CoreApi } from "@goauthentik/api";
import { msg, str } from "@lit/localize";
import { Task } from "@lit/task";
import { html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";

const pageSize = 20;

/** The applications: listed, searched, created, checked, deleted. */
@customElement("ak-application-list")
export class ApplicationListPage extends AKElement {
    @state()
    private page = 1;

    @state()
    private search = "";

    @state()
    private notice = "";

    @state()
    private failure = "";

    #api = new CoreApi(DEFAULT_CONFIG);

    #list = new Task(this, {
        task: ([page, search], { signal }) =>
            this.#api.coreApplicationsList(
                { page, pageSize, search: search || undefined, ordering: "name" },
                { signal },
            ),
        args: () => [this.page, this.search] as const,
    });

    /** Does something, says so, and shows the list anew. */
    async #act(notice: string, action: () => Promise<unknown>): Promise<void> {
        this.notice = this.failure = "";
        try {
            await action();
            this.notice = notice;
        } catch (error) {
            this.failure = await describeError(error);
        }
        await this.#list.run();
    }

    #check(application: Application) {
        return this.#act(msg(str`The worker was asked to check ${application.name}.`), () =>
            this.#api.coreApplicationsCheckCreate({ slug: application.slug }),
        );
    }

    #delete(application: Application) {
        if (!window.confirm(msg(str`Delete ${application.name}?`))) return Promise.resolve();

        return this.#act(msg(str`${application.name} was deleted.`), () =>
            this.#api.coreApplicationsDestroy({ slug: application.slug }),
        );
    }

    #created = ({ detail }: CustomEvent<Application>) =>
        this.#act(msg(str`${detail.name} was created.`), () => Promise.resolve());

    #renderRow = (application: Application) => html`
        <tr data-slug=${application.slug}>
            <td>
                <strong>${application.name}</strong><br />
                <span class="muted">${application.slug}</span>
            </td>
            <td>${application.description}</td>
            <td>${application.lastCheck?.toLocaleString() ?? msg("never")}</td>
            <td>
                <span class="row">
                    <button type="button" @click=${() => this.#check(application)}>${msg("Check")}</button>
                    <button type="button" @click=${() => this.#delete(application)}>${msg("Delete")}</button>
                </span>
            </td>
        </tr>
    `;

    override render() {
        return html`
            <h1>${msg("Applications")}</h1>
            ${this.notice ? html`<ak-message>${this.notice}</ak-message>` : nothing}
            ${this.failure ? html`<ak-message level="error">${this.failure}</ak-message>` : nothing}
            <ak-application-form @ak-created=${this.#created}></ak-application-form>
            <label>
                ${msg("Search")}
                <input
                    type="search"
                    name="search"
                    @change=${({ target }: Event) => {
                        this.page = 1;
                        this.search = (target as HTMLInputElement).value;
                    }}
                />
            </label>
            ${this.#list.render({
                pending: () => html`<p>${msg("Loading…")}</p>`,
                error: (error) => html`<ak-message level="error">${String(error)}</ak-message>`,
                complete: ({ results, pagination }) => html`
                    <table>
                        <thead>
                            <tr>
                                <th>${msg("Name")}</th>
                                <th>${msg("Description")}</th>
                                <th>${msg("Last check")}</th>
                                <th>${msg("Actions")}</th>
                            </tr>
                        </thead>
                        <tbody>
                            ${results.map(this.#renderRow)}
                        </tbody>
                    </table>
                    <p class="row">
                        <button type="button" ?disabled=${!pagination.previous} @click=${() => this.page--}>
                            ${msg("Previous")}
                        </button>
                        <span data-test="count">${msg(str`${pagination.count} in all`)}</span>
                        <button type="button" ?disabled=${!pagination.next} @click=${() => this.page++}>
                            ${msg("Next")}
                        </button>
                    </p>
                `,
            })}
        `;
    }
}

declare global {
    interface HTMLElementTagNameMap {
        "ak-application-list": ApplicationListPage;
    }
}
