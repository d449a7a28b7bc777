import "#elements/Message";

import { DEFAULT_CONFIG } from "#common/api/config";
import { describeError } from "#common/api/errors";
import { slugify } from "#common/ui/links";
import { AKElement } from "#elements/Base";
import { sharedStyles } from "#elements/styles";

import { CoreApi } from "@goauthentik/api";
import { msg } from "@lit/localize";
import { css, html, nothing } from "lit";
import { customElement, query, state } from "lit/decorators.js";

/**
 * Creates an application.
 *
 * @fires ak-created with the application
 */
@customElement("ak-application-form")
export class ApplicationForm extends AKElement {
    static override styles = [
        sharedStyles,
        css`
            details {
                margin-bottom: var(--ak-gap);
            }

            summary {
                margin-bottom: var(--ak-gap);
                font-weight: 600;
                cursor: pointer;
            }
        `,
    ];

    @query("form")
    private form!: HTMLFormElement;

    @query("details")
    private details!: HTMLDetailsElement;

    @state()
    private failure = "";

    @state()
    private busy = false;

    /** Proposes a slug until somebody types one. */
    #named = ({ target }: Event) => {
        const slug = this.form.elements.namedItem("slug") as HTMLInputElement;
        if (!slug.dataset.typed) slug.value = slugify((target as HTMLInputElement).value);
    };

    #submitted = async (event: SubmitEvent) => {
        event.preventDefault();
        const data = new FormData(this.form);
        const text = (name: string) => String(data.get(name) ?? "").trim();

        this.busy = true;
        this.failure = "";
        try {
            const application = await new CoreApi(DEFAULT_CONFIG).coreApplicationsCreate({
                applicationRequest: {
                    name: text("name"),
                    slug: text("slug"),
                    description: text("description"),
                    launchUrl: text("launchUrl") || undefined,
                },
            });
            this.form.reset();
            delete (this.form.elements.namedItem("slug") as HTMLInputElement).dataset.typed;
            this.details.open = false;
            this.dispatchEvent(new CustomEvent("ak-created", { detail: application }));
        } catch (error) {
            this.failure = await describeError(error);
        } finally {
            this.busy = false;
        }
    };

    override render() {
        return html`
            <details>
                <summary>${msg("Create an application")}</summary>
                <form class="card" @submit=${this.#submitted}>
                    ${this.failure ? html`<ak-message level="error">${this.failure}</ak-message>` : nothing}
                    <label>
                        ${msg("Name")}
                        <input name="name" required @input=${this.#named} />
                    </label>
                    <label>
                        ${msg("Slug")}
                        <input
                            name="slug"
                            required
                            maxlength="50"
                            pattern="[\\-a-zA-Z0-9_]+"
                            @input=${({ target }: Event) => ((target as HTMLInputElement).dataset.typed = "yes")}
                        />
                    </label>
                    <label>
                        ${msg("Description")}
                        <input name="description" />
                    </label>
                    <label>
                        ${msg("Launch URL")}
                        <input name="launchUrl" type="url" maxlength="200" placeholder="https://" />
                    </label>
                    <button class="primary" ?disabled=${this.busy}>${msg("Create")}</button>
                </form>
            </details>
        `;
    }
}

declare global {
    interface HTMLElementTagNameMap {
        "ak-application-form": ApplicationForm;
    }
}
