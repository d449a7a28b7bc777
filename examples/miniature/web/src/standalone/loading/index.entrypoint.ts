/**
 * @file What is shown while the server starts: looks every second whether it has.
 */

import { css, html, LitElement } from "lit";
import { customElement } from "lit/decorators.js";

const readyURL = "/-/health/ready/";
const pause = 1000;

@customElement("ak-loading")
export class Loading extends LitElement {
    static override styles = css`
        :host {
            display: grid;
            min-height: 100vh;
            place-items: center;
            font-family: system-ui, sans-serif;
        }
    `;

    #timer = 0;

    override connectedCallback(): void {
        super.connectedCallback();
        this.#timer = window.setInterval(() => void this.#look(), pause);
    }

    override disconnectedCallback(): void {
        window.clearInterval(this.#timer);
        super.disconnectedCallback();
    }

    async #look() {
        const answer = await fetch(readyURL, { cache: "no-store" }).catch(() => null);
        if (answer?.ok) window.location.reload();
    }

    override render() {
        return html`<p role="status">authentik is starting…</p>`;
    }
}

declare global {
    interface HTMLElementTagNameMap {
        "ak-loading": Loading;
    }
}
