import { beforeAll } from 'vitest';
import { EagerStepper } from '../../../src/engine/step/eager.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { describeStepper } from './contract.ts';

beforeAll(() => loadTestBackend('wasm'));

describeStepper((options) => new EagerStepper(options));
