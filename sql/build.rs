//! A new migration is embedded anew.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
