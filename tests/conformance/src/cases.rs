//! Lists the cases of a module, so that a case cannot be left out for one store: the compiler reports one that is not
//! listed as unused.

/// Declares the macro `$list`, which makes a test of each case of the module `$module`. `$d` is a dollar sign, for the
/// variables of that macro.
macro_rules! cases {
    (($d:tt) $list:ident in $module:ident: $($case:ident,)*) => {
        #[doc(hidden)]
        pub mod cases {
            $(pub async fn $case(subject: &dyn $crate::Subject) {
                super::$case(subject).await;
            })*
        }

        #[doc(hidden)]
        #[macro_export]
        macro_rules! $list {
            ($d test:meta, $d subject:path) => {
                mod $module {
                    $(#[$d test]
                    async fn $case() {
                        $crate::$module::cases::$case(&$d subject().await).await;
                    })*
                }
            };
        }
    };
}
