/** How generated two-hop data is worded. Every question ends in E1 and every statement in its value. */
import type { z } from 'zod';
import { namedEnum } from '../engine/contract/describe.ts';
import { fill } from './phrasings.ts';

/** Statements of a single fact, the most common wording first. */
export const FACT_PHRASINGS: readonly string[] = [
  'The {label} of {name} is {value}',
  "{name}'s {label} is {value}",
  'As {label} {name} has {value}',
  'Asked for a {label} {name} names {value}',
];

/** Relations by key, each called by one word that no person is called by. */
export const RELATION_LABELS = {
  advisor_of: 'advisor',
  boss_of: 'boss',
  captain_of: 'captain',
  dentist_of: 'dentist',
  employer_of: 'employer',
  friend_of: 'friend',
  guardian_of: 'guardian',
  heir_of: 'heir',
  idol_of: 'idol',
  judge_of: 'judge',
  landlord_of: 'landlord',
  mentor_of: 'mentor',
  neighbor_of: 'neighbor',
  opponent_of: 'opponent',
  partner_of: 'partner',
  rival_of: 'rival',
  sponsor_of: 'sponsor',
  teacher_of: 'teacher',
  usher_of: 'usher',
  visitor_of: 'visitor',
} as const;

/** How questions are worded; relation 2 stands before relation 1 in all. */
export const twoHopWording = namedEnum('TwoHopWording', 'How two-hop questions are worded.', {
  ENTITY_LAST: '“Who is the R2 of the R1 of E1”: the last token is the entity.',
  RELATION_LAST: '“Who is the R2 for E1 of the R1”: the last token is the first relation.',
  BARE: '“R2 R1 E1”: three words and no more.',
});

export function twoHopQuestion(
  first: string,
  second: string,
  name: string,
  wording: z.output<typeof twoHopWording> = 'ENTITY_LAST',
): string {
  if (wording === 'BARE') return `${second} ${first} ${name}`;
  if (wording === 'RELATION_LAST') return `Who is the ${second} for ${name} of the ${first}`;
  return `Who is the ${second} of the ${first} of ${name}`;
}

/** The first `count` wordings of a statement. */
export function stateFact(count: number, label: string, name: string, value: string): string[] {
  const worded = FACT_PHRASINGS.slice(0, count).map((phrasing) => phrasing.replace('{label}', label));
  return worded.map((phrasing) => fill(phrasing, name, value));
}
