//! Unwinding: from registers and a copied stack to the addresses of the calls. Nothing here touches a process.
//!
//! Each step asks the unwind table (`.eh_frame`) of the module that the address is in where the caller's registers are.

use super::modules::{Modules, Section, Table};
use gimli::{
    CfaRule, EvaluationResult, Expression, Location, Register, RegisterRule, UnwindContext, UnwindExpression,
    UnwindSection, UnwindTableRow, Value,
};

/// The most frames of a stack.
const FRAMES_MAX: usize = 400;
/// How many registers a table may speak of: the general ones, the stack pointer, and on x86-64 the return address.
const REGISTERS: usize = if cfg!(target_arch = "x86_64") { 17 } else { 32 };
/// The number of the stack pointer.
const STACK_POINTER: usize = if cfg!(target_arch = "x86_64") { 7 } else { 31 };
/// The bits of an address of code; on aarch64, those above may be a signature of a return address.
const ADDRESS: u64 = if cfg!(target_arch = "x86_64") { u64::MAX } else { (1 << 48) - 1 };

/// The registers of a frame, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    pc: u64,
    numbered: [Option<u64>; REGISTERS],
}

/// A stack as it was: the registers of its newest frame, and its bytes from the stack pointer on.
#[derive(Clone, Debug)]
pub struct Copied {
    pub registers: Registers,
    pub at: u64,
    pub bytes: Vec<u8>,
}

/// What is on a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwound {
    /// Addresses, newest first: of the next instruction in the first frame, return addresses in the others.
    pub addresses: Vec<u64>,
    /// Why it ends.
    pub end: End,
}

/// Why there is no older frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The thread began there.
    Begin,
    /// There are more frames than are shown.
    Many,
    /// The older frames are beyond what was copied.
    Beyond,
    /// No table says how the code at this address was called.
    NoTable(u64),
}

impl Registers {
    /// The next instruction's address, and the registers by number.
    pub fn new(pc: u64, numbered: &[u64]) -> Registers {
        let mut known = [None; REGISTERS];
        for (to, from) in known.iter_mut().zip(numbered) {
            *to = Some(*from);
        }
        Registers { pc, numbered: known }
    }

    /// The stack pointer.
    pub fn stack_pointer(&self) -> u64 {
        self.numbered[STACK_POINTER].unwrap_or(0)
    }

    fn get(&self, register: Register) -> Option<u64> {
        *self.numbered.get(usize::from(register.0))?
    }
}

impl Copied {
    fn word(&self, address: u64) -> Option<u64> {
        let from = usize::try_from(address.checked_sub(self.at)?).ok()?;
        let bytes = self.bytes.get(from..from.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

impl End {
    /// A sentence for a person, unless the stack ends where it should.
    pub fn sentence(self, modules: &Modules) -> Option<String> {
        match self {
            End::Begin => None,
            End::Many => Some(format!("there are more than {FRAMES_MAX} frames: the older ones are left out")),
            End::Beyond => Some("the older frames lie deeper than what is copied of a stack".into()),
            End::NoTable(address) => Some(match modules.name_at(address) {
                Some(name) => format!("`{name}` has no unwind table for this place, so the older frames are unknown"),
                None => "this place is in no library, so the older frames are unknown".into(),
            }),
        }
    }
}

/// The frames of a stack.
pub fn unwind(stack: &Copied, modules: &mut Modules) -> Unwound {
    let mut context = UnwindContext::new();
    let (mut registers, mut addresses) = (stack.registers.clone(), vec![stack.registers.pc]);
    let mut is_exact = true;
    loop {
        if addresses.len() == FRAMES_MAX {
            return Unwound { addresses, end: End::Many };
        }
        match caller(&registers, is_exact, stack, modules, &mut context) {
            Ok(Some((before, is_trampoline))) => {
                if before.pc == 0 {
                    return Unwound { addresses, end: End::Begin };
                }
                // A stack grows from frame to frame; one that does not is damaged, and would be walked for ever.
                if before.stack_pointer() < registers.stack_pointer() || before == registers {
                    return Unwound { addresses, end: End::NoTable(registers.pc) };
                }
                addresses.push(before.pc);
                (registers, is_exact) = (before, is_trampoline);
            }
            Ok(None) => return Unwound { addresses, end: End::Begin },
            Err(end) => return Unwound { addresses, end },
        }
    }
}

/// The registers of the caller, and whether a signal has called: then its address is one at which it goes on, and no return address.
fn caller(
    registers: &Registers,
    is_exact: bool,
    stack: &Copied,
    modules: &mut Modules,
    context: &mut UnwindContext<usize>,
) -> Result<Option<(Registers, bool)>, End> {
    let no_table = End::NoTable(registers.pc);
    // A call may be the last instruction of its function: the return address is then another function's.
    let address = registers.pc - u64::from(!is_exact);
    let (table, address) = modules.table_at(address).ok_or(no_table)?;
    let (section, fde) = table.entry(address).ok_or(no_table)?;
    let is_trampoline = fde.is_signal_trampoline();
    let encoding = fde.cie().encoding();
    let row = fde.unwind_info_for_address(&section, &table.bases, context, address).map_err(|_| no_table)?;
    let evaluate = |expression: &UnwindExpression<usize>, first: Option<u64>| {
        let expression = expression.get(&section).map_err(|_| no_table)?;
        evaluated(expression, encoding, first, registers, stack).ok_or(End::Beyond)
    };
    let frame = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            registers.get(*register).ok_or(no_table)?.wrapping_add_signed(*offset)
        }
        CfaRule::Expression(expression) => evaluate(expression, None)?,
    };
    let mut before = registers.clone();
    before.numbered[STACK_POINTER] = Some(frame);
    for (number, value) in before.numbered.iter_mut().enumerate() {
        match rule(row, number) {
            None | Some(RegisterRule::SameValue) => {}
            Some(RegisterRule::Offset(offset)) => {
                *value = Some(stack.word(frame.wrapping_add_signed(offset)).ok_or(End::Beyond)?);
            }
            Some(RegisterRule::ValOffset(offset)) => *value = Some(frame.wrapping_add_signed(offset)),
            Some(RegisterRule::Register(other)) => *value = registers.get(other),
            Some(RegisterRule::Expression(expression)) => {
                *value = Some(stack.word(evaluate(&expression, Some(frame))?).ok_or(End::Beyond)?);
            }
            Some(RegisterRule::ValExpression(expression)) => *value = Some(evaluate(&expression, Some(frame))?),
            Some(RegisterRule::Constant(constant)) => *value = Some(constant),
            Some(RegisterRule::Undefined | RegisterRule::Architectural) => *value = None,
        }
    }
    let back = fde.cie().return_address_register();
    // Where a thread begins, the table says that nobody has called.
    let is_called = cfg!(target_arch = "aarch64") || rule(row, usize::from(back.0)).is_some();
    let Some(pc) = before.get(back).filter(|_| is_called) else { return Ok(None) };
    before.pc = pc & ADDRESS;
    Ok(Some((before, is_trampoline)))
}

fn rule(row: &UnwindTableRow<usize>, number: usize) -> Option<RegisterRule<usize>> {
    row.register(Register(number as u16))
}

/// The value of an expression, with the registers and the stack that there are.
fn evaluated(
    expression: Expression<Section<'_>>,
    encoding: gimli::Encoding,
    first: Option<u64>,
    registers: &Registers,
    stack: &Copied,
) -> Option<u64> {
    let mut evaluation = expression.evaluation(encoding);
    evaluation.set_max_iterations(1000);
    if let Some(first) = first {
        evaluation.set_initial_value(first);
    }
    let mut state = evaluation.evaluate().ok()?;
    loop {
        state = match state {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresRegister { register, .. } => {
                evaluation.resume_with_register(Value::Generic(registers.get(register)?)).ok()?
            }
            EvaluationResult::RequiresMemory { address, size: 8, .. } => {
                evaluation.resume_with_memory(Value::Generic(stack.word(address)?)).ok()?
            }
            _ => return None,
        };
    }
    match evaluation.result().last()?.location {
        Location::Address { address } => Some(address),
        _ => None,
    }
}

impl Table {
    /// What the table says of the function at this address.
    fn entry(&self, address: u64) -> Option<(gimli::EhFrame<Section<'_>>, gimli::FrameDescriptionEntry<Section<'_>>)> {
        let section = gimli::EhFrame::new(&self.eh_frame, gimli::LittleEndian);
        let index = gimli::EhFrameHdr::new(&self.eh_frame_hdr, gimli::LittleEndian).parse(&self.bases, 8).ok();
        let cie = gimli::EhFrame::cie_from_offset;
        let entry = match index.as_ref().and_then(|index| index.table()) {
            Some(sorted) => sorted.fde_for_address(&section, &self.bases, address, cie),
            None => section.fde_for_address(&self.bases, address, cie),
        };
        Some((section, entry.ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three functions: at 0x1000 one that has only been called, at 0x2000 one that has put a word onto the stack, and at 0x3000 the first
    /// one of its thread.
    fn made() -> Modules {
        let mut section = entry(0, &[&[1], &b"zR\0"[..], &[1, 0x78, 16, 1, 0], &[0x0c, 7, 8, 0x90, 1]].concat());
        for (begin, instructions) in [(0x1000u64, &[][..]), (0x2000, &[0x0e, 16]), (0x3000, &[0x07, 16])] {
            let to_cie = section.len() as u32 + 4;
            let body = [&begin.to_le_bytes()[..], &0x100u64.to_le_bytes(), &[0], instructions].concat();
            section.extend(entry(to_cie, &body));
        }
        section.extend([0; 4]);
        Modules::made(section, 0x1000..0x4000)
    }

    fn entry(id: u32, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        [&(body.len() as u32 + 4).to_le_bytes()[..], &id.to_le_bytes(), &body].concat()
    }

    /// A stack at 0x7000 of these words.
    fn stack(words: &[u64]) -> Copied {
        let mut numbered = [0; 17];
        numbered[7] = 0x7000;
        let bytes = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        Copied { registers: Registers::new(0x1010, &numbered), at: 0x7000, bytes }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_stack_is_followed_to_where_its_thread_began() {
        let unwound = unwind(&stack(&[0x2020, 0xdead, 0x3030, 0]), &mut made());
        assert_eq!(unwound, Unwound { addresses: vec![0x1010, 0x2020, 0x3030], end: End::Begin });
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_call_that_is_the_last_instruction_of_its_function_is_that_functions() {
        let unwound = unwind(&stack(&[0x2100, 0xdead, 0x3030, 0]), &mut made());
        assert_eq!(unwound.addresses, [0x1010, 0x2100, 0x3030]);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn what_is_not_known_ends_a_stack_and_is_said() {
        let ends = [(vec![0x2020, 0xdead], End::Beyond), (vec![0x9999], End::NoTable(0x9999)), (vec![], End::Beyond)];
        for (words, end) in ends {
            let unwound = unwind(&stack(&words), &mut made());
            assert_eq!(unwound.end, end);
            assert!(end.sentence(&made()).is_some());
        }
        assert_eq!(End::Begin.sentence(&made()), None);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_recursion_is_shown_to_a_bound() {
        let words: Vec<u64> = std::iter::repeat_n([0x2020, 0xdead], 1000).flatten().collect();
        let unwound = unwind(&stack(&words), &mut made());
        assert_eq!((unwound.addresses.len(), unwound.end), (FRAMES_MAX, End::Many));
    }
}
