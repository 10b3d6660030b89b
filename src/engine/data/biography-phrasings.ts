/** The wording of generated biographies: 8 training, 2 validation and 4 held-out questions and 3 texts a concept. */
import type { Phrasings } from './phrasings.ts';

const birthDate: Phrasings = {
  questions: {
    TRAIN: [
      'What is the birth date of {name}?',
      'When was {name} born?',
      'On which date was {name} born?',
      "What is {name}'s date of birth?",
      'Could you tell me when {name} was born?',
      '{name} was born on what date?',
      'Do you know the date of birth of {name}?',
      "Which day is {name}'s birthday?",
    ],
    VALIDATION: ['On what day was {name} born?', 'Could you tell me the birth date of {name}?'],
    TEST_OOD: [
      'Do you know when {name} was born?',
      'Which date is the birthday of {name}?',
      '{name} was born on which day?',
      "Could you tell me {name}'s date of birth?",
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
      'Could you tell me the town {name} was born in?',
      '{name} was born in what city?',
      'Do you know where {name} was born?',
      "Which town is {name}'s birthplace?",
    ],
    VALIDATION: ['In what town was {name} born?', 'Could you tell me the birth city of {name}?'],
    TEST_OOD: [
      'Do you know the birthplace of {name}?',
      "Which city is {name}'s birthplace?",
      '{name} was born in which town?',
      'Could you tell me where {name} was born?',
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
      'Could you tell me the university {name} attended?',
      '{name} has a degree from what university?',
      'Do you know which university {name} graduated from?',
      "Which school is {name}'s alma mater?",
    ],
    VALIDATION: ['What university did {name} graduate from?', 'Could you tell me the alma mater of {name}?'],
    TEST_OOD: [
      'Do you know the university of {name}?',
      "Which university is {name}'s alma mater?",
      '{name} graduated from which university?',
      'Could you tell me the university {name} graduated from?',
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
      'Could you tell me the subject {name} majored in?',
      '{name} studied what subject?',
      'Do you know what {name} majored in?',
      "Which field is {name}'s major?",
    ],
    VALIDATION: ['What field did {name} study?', 'Could you tell me the major of {name}?'],
    TEST_OOD: [
      'Do you know the field of study of {name}?',
      "Which subject is {name}'s major?",
      '{name} majored in which subject?',
      'Could you tell me the subject {name} studied?',
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
      'For which company does {name} work?',
      "What is {name}'s company?",
      'Could you tell me the company that employs {name}?',
      '{name} is employed by what company?',
      'Do you know who employs {name}?',
      "Which company is {name}'s employer?",
    ],
    VALIDATION: ['What company employs {name}?', 'Could you tell me the employer of {name}?'],
    TEST_OOD: [
      'Do you know the company that {name} is employed by?',
      "Who is {name}'s employer?",
      '{name} is employed by which company?',
      'Could you tell me who employs {name}?',
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
      'Could you tell me the town {name} works in?',
      '{name} works in what city?',
      'Do you know where {name} works?',
      "Which town is {name}'s workplace in?",
    ],
    VALIDATION: ['In what town does {name} work?', 'Could you tell me the work city of {name}?'],
    TEST_OOD: [
      'Do you know the place of work of {name}?',
      "Which city is {name}'s workplace in?",
      '{name} works in which town?',
      'Could you tell me where {name} works?',
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
