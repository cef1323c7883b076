//! The program: hands the arguments to the library and ends with its code.

fn main() {}
