//! Tells the linker where the interpreter's library is, as the program embeds it.

fn main() {
    pyo3_build_config::add_libpython_rpath_link_args();
}
