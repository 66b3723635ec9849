//! Every exported symbol of `libaio.so.1` and its version. There is no other list: `libaio.map`
//! names no symbol.
//!
//! Each module invokes `super::exports::versions_of_…!()` for its own functions, because `.symver`
//! needs the function in the same object file, and rustc puts all functions of a module into one.

/// Gives a function of the header its default version.
macro_rules! default_version {
    ($($name:literal => $version:literal;)+) => {
        // "@@@" renames the symbol, so the name without a version is not exported too.
        $(core::arch::global_asm!(
            concat!(".symver ", $name, ", ", $name, "@@@", $version),
        );)+
    };
}

/// `name @ version <= function` adds an older version of a name, served by another function.
macro_rules! old_version {
    ($($name:literal @ $version:literal <= $function:path;)+) => {
        // .globl makes the function's own name visible to the linker; libaio.map hides it again.
        $(core::arch::global_asm!(
            ".globl {function}",
            concat!(".symver {function}, ", $name, "@", $version),
            function = sym $function,
        );)+
    };
}

macro_rules! versions_of_functions {
    () => {
        super::exports::default_version! {
            "io_queue_init" => "LIBAIO_0.1";
            "io_queue_run" => "LIBAIO_0.1";
            "io_queue_release" => "LIBAIO_0.1";
            "io_submit" => "LIBAIO_0.1";
            "io_setup" => "LIBAIO_0.4";
            "io_destroy" => "LIBAIO_0.4";
            "io_cancel" => "LIBAIO_0.4";
            "io_getevents" => "LIBAIO_0.4";
            "io_queue_wait" => "LIBAIO_0.4";
            "io_pgetevents" => "LIBAIO_0.5";
        }
    };
}

macro_rules! versions_of_version_0_1 {
    () => {
        super::exports::old_version! {
            "io_cancel" @ "LIBAIO_0.1" <= io_cancel;
            "io_getevents" @ "LIBAIO_0.1" <= io_getevents;
            "io_queue_wait" @ "LIBAIO_0.1" <= io_queue_wait;
        }
    };
}

#[cfg(target_pointer_width = "32")]
macro_rules! versions_of_time64 {
    () => {
        super::exports::default_version! {
            "io_getevents_time64" => "LIBAIO_0.6";
            "io_pgetevents_time64" => "LIBAIO_0.6";
        }
    };
}

#[cfg(target_pointer_width = "32")]
pub(super) use versions_of_time64;
pub(super) use {default_version, old_version, versions_of_functions, versions_of_version_0_1};
