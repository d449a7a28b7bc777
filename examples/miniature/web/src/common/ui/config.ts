/**
 * @file What every element may ask for: the server's public configuration and the user.
 */

import { createContext } from "@lit/context";

import type { Config, UserSelf } from "@goauthentik/api";

export const configContext = createContext<Config | null>(Symbol("authentik-config"));
export const userContext = createContext<UserSelf | null>(Symbol("authentik-user"));

/** The version that this build of the interface belongs to. */
export const BuildVersion = process.env.AK_BUILD ?? "";
