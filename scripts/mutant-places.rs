//! Tells where the expression around each operator, field of a struct and pattern of an arm begins and ends.
//!
//! Each line is a kind of bug, a file, where the small thing begins, and where what is around it begins and ends.
//! `scripts/mutants` builds this as a crate of its own.

use proc_macro2::{LineColumn, Span};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

struct Places<'f> {
    file: &'f str,
    /// The whole of the operations that the next one is an operand of, for another operator may bind otherwise.
    chain: Option<Span>,
}

impl Places<'_> {
    fn tell(&self, kind: &str, small: impl Spanned, begin: impl Spanned, end: impl Spanned) {
        let (small, begin, end) = (small.span().start(), begin.span().start(), end.span().end());
        let at = |point: LineColumn| format!("{}:{}", point.line, point.column + 1);
        println!("{kind} {} {} {} {}", self.file, at(small), at(begin), at(end));
    }
}

impl<'a> Visit<'a> for Places<'_> {
    fn visit_expr_binary(&mut self, one: &'a syn::ExprBinary) {
        let chain = self.chain.take().unwrap_or_else(|| one.span());
        let operands = [&*one.left, &*one.right];
        // A `let` stands in no other place, so what is beside it is switched by itself.
        let is_bound = operands.into_iter().any(has_let);
        if !is_bound {
            self.tell("BinaryOperator", one.op, chain, chain);
        }
        for operand in operands {
            self.chain = (matches!(operand, syn::Expr::Binary(_)) && !is_bound).then_some(chain);
            self.visit_expr(operand);
        }
    }

    fn visit_expr_unary(&mut self, one: &'a syn::ExprUnary) {
        self.tell("UnaryOperator", one.op, one, one);
        visit::visit_expr_unary(self, one);
    }

    fn visit_expr_struct(&mut self, one: &'a syn::ExprStruct) {
        one.fields.iter().for_each(|field| self.tell("StructField", field, one, one));
        visit::visit_expr_struct(self, one);
    }

    fn visit_arm(&mut self, one: &'a syn::Arm) {
        if let Some((_, guard)) = &one.guard {
            self.tell("MatchArmGuard", guard, guard, guard);
        }
        self.tell("MatchArm", one, &one.pat, &one.pat);
        visit::visit_arm(self, one);
    }
}

fn has_let(one: &syn::Expr) -> bool {
    match one {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(one) => has_let(&one.left) || has_let(&one.right),
        _ => false,
    }
}

fn main() {
    for file in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&file).expect("a file of the sources");
        Places { file: &file, chain: None }.visit_file(&syn::parse_file(&text).expect("sources that compile"));
    }
}
