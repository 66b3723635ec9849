//! Sets the link arguments that make the cdylib `libaio.so.1`, and generates `libaio.h` and
//! `libaio.pc` in `OUT_DIR`. The repository contains copies of these two files, which `make`
//! installs, so that it needs no cbindgen. tests/header.rs compares the copies.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    what_the_cpu_can_do(&root);
    link_as_libaio(&root, &out);
    #[cfg(feature = "header")]
    generate_header(&root, &out.join("libaio.h"));
    generate_pkg_config(&root, &out.join("libaio.pc"));
    // The tests pass it to the cc crate, which finds the C compiler.
    let target = env::var("TARGET").expect("cargo sets it");
    println!("cargo:rustc-env=LIBAIO_RS_TARGET={target}");
}

/// Sets `cfg`s from the CPU's file in src/sys/arch: `reaps_in_user_space`, on 64-bit little-endian
/// machines with restartable sections, and `pages_of_4_kib`.
fn what_the_cpu_can_do(root: &Path) {
    println!("cargo:rustc-check-cfg=cfg(reaps_in_user_space, pages_of_4_kib, without_exclusion)");
    let cfg = |name: &str| env::var(name).expect("cargo sets it");
    let cpu = cfg("CARGO_CFG_TARGET_ARCH");
    let folder = root.join("src/sys/arch");
    println!("cargo:rerun-if-changed={}", folder.display());
    let read = |file: &str| fs::read_to_string(folder.join(file)).expect("part of the sources");
    let name = format!("\"{cpu}\"");
    let table = read("mod.rs");
    let file = table
        .lines()
        .filter(|line| line.contains(&name))
        .find_map(|line| line.trim().strip_suffix(';')?.split_once(" => "))
        .map(|(_, file)| format!("{file}.rs"));
    // For a CPU without a file, mod.rs fails to compile with a message.
    let text = file.map(|file| read(&file)).unwrap_or_default();
    if text.contains("pub const REAPS: bool = true;")
        && cfg("CARGO_CFG_TARGET_POINTER_WIDTH") == "64"
        && cfg("CARGO_CFG_TARGET_ENDIAN") == "little"
    {
        println!("cargo:rustc-cfg=reaps_in_user_space");
    }
    if text.contains("pub const LARGEST_PAGE: usize = 4096;") {
        println!("cargo:rustc-cfg=pages_of_4_kib");
    }
}

/// Link arguments for plain `cargo build`. The Makefile links the library that it installs.
fn link_as_libaio(root: &Path, out: &Path) {
    let map = root.join("libaio.map");
    println!("cargo:rerun-if-changed={}", map.display());
    for argument in [
        format!("-B{}", linker_wrappers(out).display()),
        format!("-Wl,--version-script={}", map.display()),
        "-Wl,-soname,libaio.so.1".to_string(),
        // No start files: they bring constructors and references to libc.
        "-nostartfiles".to_string(),
        // A reachable panic path refers to an undefined symbol, which this makes a link error.
        "-Wl,-z,defs".to_string(),
        explanation_of_panics(out).display().to_string(),
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}

/// With a profile whose checks panic, linking fails because `rust_eh_personality` is undefined.
/// This linker script defines it as an alias of another undefined symbol, whose name explains the
/// error. The linker uses the definition only if something refers to `rust_eh_personality`.
fn explanation_of_panics(out: &Path) -> PathBuf {
    let script = out.join("panic.ld");
    let name = "this_profile_has_checks_that_panic__see_Building_in_README_md";
    let text = format!("PROVIDE(rust_eh_personality = {name});\n");
    fs::write(&script, text).expect("OUT_DIR is writable");
    script
}

/// rustc passes the linker an anonymous version script of its own, which GNU ld and gold refuse to
/// combine with ours. The compiler driver looks for a linker in the -B directories first, and finds
/// these wrappers, which drop rustc's script and run the real linker. lld accepts both scripts; it
/// has another name, so it is not wrapped.
fn linker_wrappers(out: &Path) -> PathBuf {
    println!("cargo:rerun-if-env-changed=RUSTC_LINKER");
    let driver = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_string());
    let directory = out.join("linker");
    fs::create_dir_all(&directory).expect("OUT_DIR is writable");
    for name in ["ld", "ld.bfd", "ld.gold"] {
        let real = Command::new(&driver)
            .arg(format!("-print-prog-name={name}"))
            .output()
            .ok()
            .and_then(|output| String::from_utf8(output.stdout).ok())
            .map(|path| path.trim().to_string())
            .filter(|path| !path.is_empty())
            .unwrap_or_else(|| name.to_string());
        let script = format!(
            "#!/bin/sh\n\
             for argument do\n\
             \tshift\n\
             \tcase $argument in\n\
             \t--version-script=*/rustc*/list) ;;\n\
             \t*) set -- \"$@\" \"$argument\" ;;\n\
             \tesac\n\
             done\n\
             exec '{real}' \"$@\"\n"
        );
        let path = directory.join(name);
        fs::write(&path, script).expect("OUT_DIR is writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("OUT_DIR is ours");
    }
    directory
}

#[cfg(feature = "header")]
fn generate_header(root: &Path, header: &Path) {
    let sources = ["src/abi.rs", "src/c_abi/functions.rs"];
    let configuration = root.join("cbindgen.toml");
    println!("cargo:rerun-if-changed={}", configuration.display());
    let mut builder = cbindgen::Builder::new().with_config(
        cbindgen::Config::from_file(&configuration).expect("cbindgen.toml can be read"),
    );
    for source in sources {
        println!("cargo:rerun-if-changed={source}");
        builder = builder.with_src(root.join(source));
    }
    // The inline functions are written in C. cbindgen appends them unchanged.
    let inline = "src/c_abi/inline.h";
    println!("cargo:rerun-if-changed={inline}");
    let inline = fs::read_to_string(root.join(inline)).expect("inline.h can be read");
    let mut text = Vec::new();
    builder
        .with_trailer(inline.trim_end())
        .generate()
        .expect("the sources parse")
        .write(&mut text);
    // cbindgen puts the semicolon of a conditional field after its #endif, where it would be an
    // empty declaration.
    let text = String::from_utf8(text)
        .expect("C is ASCII")
        .replace("\n#endif\n    ;\n", ";\n#endif\n");
    fs::write(header, text).expect("OUT_DIR is writable");
}

/// The version is that of the libaio whose interface this is, because programs require one.
fn generate_pkg_config(root: &Path, file: &Path) {
    let template = root.join("pkgconfig/libaio.pc.in");
    println!("cargo:rerun-if-changed={}", template.display());
    let text = fs::read_to_string(template)
        .expect("pkgconfig/libaio.pc.in can be read")
        .replace(
            "@DESCRIPTION@",
            &env::var("CARGO_PKG_DESCRIPTION").expect("cargo sets it"),
        )
        .replace("@VERSION@", "0.3.113");
    fs::write(file, text).expect("OUT_DIR is writable");
}
