//! Lays the built page where it is taken into the binary from; a note in its place when it was not built, so that the
//! Rust code can be worked on without Node.

use std::{env, fs, io, path::Path};

const NOTE: &str = "<!doctype html><meta charset=utf-8><title>Flashsale</title>\
    <h1>The page is not in this binary</h1>\
    <p>It was built without it: run <code>make page</code>, then build again. The API is there all the same.";

fn main() -> io::Result<()> {
    let built = Path::new("../frontend/dist");
    println!("cargo::rerun-if-changed={}", built.display());
    let target = Path::new(&env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?).join("page");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    fs::create_dir_all(&target)?;
    if built.join("index.html").is_file() { copy(built, &target) } else { fs::write(target.join("index.html"), NOTE) }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
