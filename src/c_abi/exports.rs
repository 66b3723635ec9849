//! The list of exports: every symbol of `libaio.so.1` and its version. It is the only one;
//! `libaio.map` names no symbol.

/// `name => VERSION` gives a function of the header its default version. `name <= function`
/// adds an older version of the name, served by another function.
#[cfg(feature = "versioned")]
macro_rules! exports {
    (
        default { $($name:literal => $version:literal;)+ }
        old { $($old:literal @ $old_version:literal <= $function:path;)* }
    ) => {
        // "@@@" renames the symbol, so that the plain name is not exported beside it.
        $(core::arch::global_asm!(
            concat!(".symver ", $name, ", ", $name, "@@@", $version),
        );)+
        // The function's own name becomes visible to the linker, and libaio.map hides it again.
        $(core::arch::global_asm!(
            ".globl {function}",
            concat!(".symver {function}, ", $old, "@", $old_version),
            function = sym $function,
        );)*
    };
}

#[cfg(feature = "versioned")]
exports! {
    default {
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
    old {
        "io_cancel" @ "LIBAIO_0.1" <= super::version_0_1::io_cancel;
        "io_getevents" @ "LIBAIO_0.1" <= super::version_0_1::io_getevents;
        "io_queue_wait" @ "LIBAIO_0.1" <= super::version_0_1::io_queue_wait;
    }
}

#[cfg(all(feature = "versioned", target_pointer_width = "32"))]
exports! {
    default {
        "io_getevents_time64" => "LIBAIO_0.6";
        "io_pgetevents_time64" => "LIBAIO_0.6";
    }
    old {}
}
