/** A page of `website/docs`, as bundler/mdx-plugin gives it. */
declare module "~docs/*" {
    const page: { title: string; html: string };
    export default page;
}
