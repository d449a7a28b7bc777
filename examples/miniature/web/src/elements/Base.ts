/**
 * @file What all elements have in common.
 */

import { sharedStyles } from "./styles.js";

import { updateWhenLocaleChanges } from "@lit/localize";
import { type CSSResultGroup, LitElement } from "lit";

export class AKElement extends LitElement {
    static override styles: CSSResultGroup = [sharedStyles];

    constructor() {
        super();
        updateWhenLocaleChanges(this);
    }
}
