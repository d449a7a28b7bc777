import { AKElement } from "./Base.js";
import { sharedStyles } from "./styles.js";

import { css, html } from "lit";
import { customElement, property } from "lit/decorators.js";

/** A line about what happened; read out by screen readers. */
@customElement("ak-message")
export class Message extends AKElement {
    static override styles = [
        sharedStyles,
        css`
            div {
                margin-bottom: var(--ak-gap);
                padding: 0.6rem 0.8rem;
                border-inline-start: 4px solid var(--ak-accent);
                background: var(--ak-background);
            }

            div.error {
                border-color: var(--ak-danger);
            }
        `,
    ];

    @property()
    level: "info" | "error" = "info";

    override render() {
        return html`<div class=${this.level} role=${this.level === "error" ? "alert" : "status"}><slot></slot></div>`;
    }
}

declare global {
    interface HTMLElementTagNameMap {
        "ak-message": Message;
    }
}
