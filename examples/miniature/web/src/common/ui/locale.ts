/**
 * @file The language of the interface: the first that both the browser and we know.
 */

import { allLocales, sourceLocale, targetLocales } from "../../locale-codes.js";

import { configureLocalization } from "@lit/localize";

export const { getLocale, setLocale } = configureLocalization({
    sourceLocale,
    targetLocales,
    loadLocale: (locale: string) => {
        switch (locale) {
            case "de":
                return import("../../locales/de.js");
            case "fr":
                return import("../../locales/fr.js");
            default:
                return Promise.reject(new Error(`No such locale: ${locale}`));
        }
    },
});

export async function activateLocale(wanted: readonly string[] = navigator.languages): Promise<void> {
    const known: readonly string[] = allLocales;
    const locale = wanted.map((tag) => tag.split("-")[0]).find((tag) => known.includes(tag));

    await setLocale(locale ?? sourceLocale);
    document.documentElement.lang = getLocale();
}
