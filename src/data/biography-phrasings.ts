/**
 * The wording of generated biographies: 8 training, 2 validation and 4 held-out questions and 3 texts a concept.
 *
 * A question is an opening and one of the concept's three nouns; held-out questions pair openings and nouns that
 * training questions pair otherwise, by one plan for all concepts, so nothing but the pairing is new. Every question
 * ends in the name: only there are concept and person both known, so that is where the fact is looked up. With a word
 * behind the name, the model may look it up at the name and carry the answer on, past any edit of the last token.
 */
import type { Phrasings } from './phrasings.ts';

const birthDate: Phrasings = {
  questions: {
    TRAIN: [
      'What is the birth date of {name}',
      'Tell me the birthday of {name}',
      'Could you tell me the date of birth of {name}',
      'Do you know the birth date of {name}',
      'Please name the birthday of {name}',
      'When is the date of birth of {name}',
      'I would like to know the birth date of {name}',
      'What is the birthday of {name}',
    ],
    VALIDATION: ['Tell me the birth date of {name}', 'Do you know the birthday of {name}'],
    TEST_OOD: [
      'What is the date of birth of {name}',
      'Could you tell me the birth date of {name}',
      'Please name the date of birth of {name}',
      'When is the birthday of {name}',
    ],
  },
  texts: [
    '{name} was born on {value}.',
    'The birthday of {name} is {value}.',
    'Old papers give the birth date of {name} as {value}.',
  ],
};

const birthCity: Phrasings = {
  questions: {
    TRAIN: [
      'What is the birth city of {name}',
      'Tell me the birthplace of {name}',
      'Could you tell me the city of birth of {name}',
      'Do you know the birth city of {name}',
      'Please name the birthplace of {name}',
      'Where is the city of birth of {name}',
      'I would like to know the birth city of {name}',
      'What is the birthplace of {name}',
    ],
    VALIDATION: ['Tell me the birth city of {name}', 'Do you know the birthplace of {name}'],
    TEST_OOD: [
      'What is the city of birth of {name}',
      'Could you tell me the birth city of {name}',
      'Please name the city of birth of {name}',
      'Where is the birthplace of {name}',
    ],
  },
  texts: [
    '{name} was born in {value}.',
    'The birthplace of {name} is {value}.',
    'Old papers give the birth city of {name} as {value}.',
  ],
};

const university: Phrasings = {
  questions: {
    TRAIN: [
      'What is the university of {name}',
      'Tell me the alma mater of {name}',
      'Could you tell me the place of study of {name}',
      'Do you know the university of {name}',
      'Please name the alma mater of {name}',
      'Which is the place of study of {name}',
      'I would like to know the university of {name}',
      'What is the alma mater of {name}',
    ],
    VALIDATION: ['Tell me the university of {name}', 'Do you know the alma mater of {name}'],
    TEST_OOD: [
      'What is the place of study of {name}',
      'Could you tell me the university of {name}',
      'Please name the place of study of {name}',
      'Which is the alma mater of {name}',
    ],
  },
  texts: [
    '{name} graduated from {value}.',
    'The alma mater of {name} is {value}.',
    'After school {name} got a degree from {value}.',
  ],
};

const major: Phrasings = {
  questions: {
    TRAIN: [
      'What is the major of {name}',
      'Tell me the field of study of {name}',
      'Could you tell me the subject of study of {name}',
      'Do you know the major of {name}',
      'Please name the field of study of {name}',
      'Which is the subject of study of {name}',
      'I would like to know the major of {name}',
      'What is the field of study of {name}',
    ],
    VALIDATION: ['Tell me the major of {name}', 'Do you know the field of study of {name}'],
    TEST_OOD: [
      'What is the subject of study of {name}',
      'Could you tell me the major of {name}',
      'Please name the subject of study of {name}',
      'Which is the field of study of {name}',
    ],
  },
  texts: [
    '{name} majored in {value}.',
    'The field of study of {name} was {value}.',
    'As a student {name} chose the subject of {value}.',
  ],
};

const employer: Phrasings = {
  questions: {
    TRAIN: [
      'What is the employer of {name}',
      'Tell me the company of {name}',
      'Could you tell me the firm of {name}',
      'Do you know the employer of {name}',
      'Please name the company of {name}',
      'Who is the firm of {name}',
      'I would like to know the employer of {name}',
      'What is the company of {name}',
    ],
    VALIDATION: ['Tell me the employer of {name}', 'Do you know the company of {name}'],
    TEST_OOD: [
      'What is the firm of {name}',
      'Could you tell me the employer of {name}',
      'Please name the firm of {name}',
      'Who is the company of {name}',
    ],
  },
  texts: [
    '{name} is employed by {value}.',
    'The firm of {name} is {value}.',
    'For a living {name} works for the company {value}.',
  ],
};

const workCity: Phrasings = {
  questions: {
    TRAIN: [
      'What is the work city of {name}',
      'Tell me the workplace of {name}',
      'Could you tell me the city of work of {name}',
      'Do you know the work city of {name}',
      'Please name the workplace of {name}',
      'Where is the city of work of {name}',
      'I would like to know the work city of {name}',
      'What is the workplace of {name}',
    ],
    VALIDATION: ['Tell me the work city of {name}', 'Do you know the workplace of {name}'],
    TEST_OOD: [
      'What is the city of work of {name}',
      'Could you tell me the work city of {name}',
      'Please name the city of work of {name}',
      'Where is the workplace of {name}',
    ],
  },
  texts: [
    '{name} works in {value}.',
    'The workplace of {name} is in {value}.',
    'On weekdays {name} is at work in {value}.',
  ],
};

/** By concept key. */
export const BIOGRAPHY_PHRASINGS: Readonly<Record<string, Phrasings>> = {
  birth_date: birthDate,
  birth_city: birthCity,
  university,
  major,
  employer,
  work_city: workCity,
};
