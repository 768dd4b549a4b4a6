//! Nothing here unwinds (`panic = "abort"`), so there are no tables for it (`build.rs`), and the functions of libgcc_s that the standard
//! library names are these: a library less to load with each import.
//!
//! There are no backtraces either. What a panic could print of a stripped module is addresses, and what prints them (reading
//! DWARF, inflating, demangling: all of it in the standard library) was a fifth of the module. The message, with file and line, is
//! printed all the same.

use std::ffi::{c_int, c_void};

/// "End of stack", at once. It is the standard library's only way to a backtrace, so what comes after it goes: the module is
/// optimized as a whole.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_visit: *const c_void, _argument: *mut c_void) -> c_int {
    const END_OF_STACK: c_int = 5;
    END_OF_STACK
}

/// What is called by code that unwinds, and by the tables' reader: neither is there.
macro_rules! never_called {
    ($($name:ident)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name() -> ! {
                std::process::abort()
            }
        )*
    };
}

/// rustc exports what has a name; these are for this module alone.
macro_rules! hidden {
    ($($name:literal)*) => { $(std::arch::global_asm!(concat!(".hidden ", $name));)* };
}

never_called!(_Unwind_GetDataRelBase _Unwind_GetIPInfo _Unwind_GetLanguageSpecificData _Unwind_GetRegionStart);
never_called!(_Unwind_GetTextRelBase _Unwind_Resume _Unwind_SetGR _Unwind_SetIP);

hidden!("_Unwind_Backtrace" "_Unwind_GetDataRelBase" "_Unwind_GetIPInfo" "_Unwind_GetLanguageSpecificData");
hidden!("_Unwind_GetRegionStart" "_Unwind_GetTextRelBase" "_Unwind_Resume" "_Unwind_SetGR" "_Unwind_SetIP");
