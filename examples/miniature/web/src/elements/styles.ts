/**
 * @file Styles that elements share. Colours and distances are the page's: src/styles/interface.css.
 */

import { css } from "lit";

export const sharedStyles = css`
    :host {
        display: block;
        color: var(--ak-text);
        font: inherit;
        overflow-wrap: anywhere;
    }

    :host([hidden]) {
        display: none;
    }

    h1,
    h2,
    h3 {
        margin: 0 0 var(--ak-gap);
        font-weight: 600;
    }

    a {
        color: var(--ak-accent);
    }

    button,
    .button {
        display: inline-block;
        padding: 0.45rem 0.9rem;
        border: 1px solid var(--ak-border);
        border-radius: var(--ak-radius);
        background: var(--ak-surface);
        color: inherit;
        font: inherit;
        text-decoration: none;
        cursor: pointer;
    }

    button.primary {
        border-color: var(--ak-accent);
        background: var(--ak-accent);
        color: #fff;
    }

    button:disabled {
        opacity: 0.55;
        cursor: default;
    }

    label {
        display: block;
        margin-bottom: var(--ak-gap);
        font-weight: 600;
    }

    input {
        display: block;
        box-sizing: border-box;
        width: 100%;
        margin-top: 0.3rem;
        padding: 0.5rem 0.6rem;
        border: 1px solid var(--ak-border);
        border-radius: var(--ak-radius);
        background: var(--ak-background);
        color: inherit;
        font: inherit;
        font-weight: 400;
    }

    :focus-visible {
        outline: 2px solid var(--ak-accent);
        outline-offset: 1px;
    }

    table {
        width: 100%;
        border-collapse: collapse;
    }

    th,
    td {
        padding: 0.5rem 0.6rem;
        border-bottom: 1px solid var(--ak-border);
        text-align: start;
        vertical-align: top;
    }

    .card {
        padding: calc(var(--ak-gap) * 1.5);
        border: 1px solid var(--ak-border);
        border-radius: var(--ak-radius);
        background: var(--ak-surface);
    }

    .muted {
        color: var(--ak-muted);
    }

    .row {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: var(--ak-gap);
    }

    .spread {
        justify-content: space-between;
    }
`;
