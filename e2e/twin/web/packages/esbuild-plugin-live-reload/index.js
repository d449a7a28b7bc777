/** A plug-in that does nothing. */
export const liveReloadPlugin = () => ({ name: "live-reload", setup() {} });
