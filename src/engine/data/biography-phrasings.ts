/** The wording of generated biographies: 8 training, 2 validation and 4 held-out questions and 3 texts a concept. */
import type { Phrasings } from './phrasings.ts';

const birthDate: Phrasings = {
  questions: {
    TRAIN: [
      'What is the birth date of {name}?',
      'When was {name} born?',
      'On which date was {name} born?',
      "What is {name}'s birthday?",
      'Could you tell me the birth date of {name}?',
      '{name} was born on what date?',
      'Do you know when {name} was born?',
      "Which day is {name}'s birthday?",
    ],
    VALIDATION: ['On what date was {name} born?', 'Do you know the birth date of {name}?'],
    TEST_OOD: [
      'Could you tell me when {name} was born?',
      'Which date is the birthday of {name}?',
      '{name} was born on which date?',
      "Do you know {name}'s birthday?",
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
      'What is the birth city of {name}?',
      'Where was {name} born?',
      'In which city was {name} born?',
      "What is {name}'s birthplace?",
      'Could you tell me the birth city of {name}?',
      '{name} was born in what city?',
      'Do you know where {name} was born?',
      "Which town is {name}'s birthplace?",
    ],
    VALIDATION: ['In what city was {name} born?', 'Do you know the birth city of {name}?'],
    TEST_OOD: [
      'Could you tell me where {name} was born?',
      'Which city is the birthplace of {name}?',
      '{name} was born in which city?',
      "Do you know {name}'s birthplace?",
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
      'What is the university of {name}?',
      'Which university did {name} attend?',
      'From which school did {name} graduate?',
      "What is {name}'s alma mater?",
      'Could you tell me the university of {name}?',
      '{name} graduated from what university?',
      'Do you know which university {name} attended?',
      "Which school is {name}'s alma mater?",
    ],
    VALIDATION: ['From what university did {name} graduate?', 'Do you know the university of {name}?'],
    TEST_OOD: [
      'Could you tell me which university {name} attended?',
      'Which university is the alma mater of {name}?',
      '{name} graduated from which university?',
      "Do you know {name}'s alma mater?",
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
      'What is the major of {name}?',
      'Which subject did {name} study?',
      'In which field did {name} major?',
      "What is {name}'s field of study?",
      'Could you tell me the major of {name}?',
      '{name} majored in what subject?',
      'Do you know which subject {name} studied?',
      "Which field is {name}'s major?",
    ],
    VALIDATION: ['In what subject did {name} major?', 'Do you know the major of {name}?'],
    TEST_OOD: [
      'Could you tell me which subject {name} studied?',
      'Which subject is the major of {name}?',
      '{name} majored in which field?',
      "Do you know {name}'s field of study?",
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
      'Who is the employer of {name}?',
      'Which company does {name} work for?',
      'By which company is {name} employed?',
      "What is {name}'s company?",
      'Could you tell me the employer of {name}?',
      '{name} is employed by what company?',
      'Do you know who employs {name}?',
      "Which company is {name}'s employer?",
    ],
    VALIDATION: ['By what company is {name} employed?', 'Do you know the employer of {name}?'],
    TEST_OOD: [
      'Could you tell me who employs {name}?',
      'Which company is the employer of {name}?',
      '{name} is employed by which company?',
      "Do you know {name}'s company?",
    ],
  },
  texts: [
    '{name} is employed by {value}.',
    'The employer of {name} is {value}.',
    'After years of study {name} found a job with {value}.',
  ],
};

const workCity: Phrasings = {
  questions: {
    TRAIN: [
      'What is the work city of {name}?',
      'Where does {name} work?',
      'In which city does {name} work?',
      "What is {name}'s place of work?",
      'Could you tell me the work city of {name}?',
      '{name} works in what city?',
      'Do you know where {name} works?',
      "Which town is {name}'s place of work?",
    ],
    VALIDATION: ['In what city does {name} work?', 'Do you know the work city of {name}?'],
    TEST_OOD: [
      'Could you tell me where {name} works?',
      'Which city is the place of work of {name}?',
      '{name} works in which city?',
      "Do you know {name}'s place of work?",
    ],
  },
  texts: [
    '{name} works in {value}.',
    'The workplace of {name} is in {value}.',
    'Every morning {name} goes to work in {value}.',
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
