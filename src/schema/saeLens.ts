/** Where a run's SAE can be taken out for SAELens. */
import type { Run } from '../services/run.ts';
import type { Sae } from '../services/sae.ts';
import { saeLensOf } from '../services/saeLens.ts';
import { saeLensOfSae } from '../services/saeLensOfSae.ts';
import { builder } from './builder.ts';
import { encodeGlobalId, typenameOf } from './ids.ts';

interface SaeLensShape {
  architecture: string | null;
  unavailableReason: string | null;
  cfgUrl: string | null;
  weightsUrl: string | null;
}

export const SaeLensRef = builder.objectRef<SaeLensShape>('SaeLens').implement({
  description:
    'The SAE as files that SAELens 6 loads (`SAE.load_from_disk`) and that compute the same numbers from raw activations. A linear latent, as every slot is, becomes two ReLU latents: the positive half keeps its index, the negative halves stand behind all others; `cfg.json` names them, with the concepts, in its metadata.',
  fields: (t) => ({
    architecture: t.exposeString('architecture', {
      nullable: true,
      description:
        'Architecture of SAELens: standard, jumprelu or topk; null where it has none that is the same.',
    }),
    unavailableReason: t.exposeString('unavailableReason', {
      nullable: true,
      description: 'Why there are no files; null where there are.',
    }),
    cfgUrl: t.exposeString('cfgUrl', {
      nullable: true,
      description: 'Address of `cfg.json` on this server; read it as `ExportFile.url`.',
    }),
    weightsUrl: t.exposeString('weightsUrl', {
      nullable: true,
      description: 'Address of `sae_weights.safetensors` on this server, to be saved beside `cfg.json`.',
    }),
  }),
});

/** What there is for a run; `hop` is that of a two-hop run's SAE, 1 or 2. */
export function saeLensFilesOf(run: Run, hop: number | null = null): SaeLensShape {
  const address = `/export/runs/${encodeURIComponent(encodeGlobalId(typenameOf(run.kind), run.id))}/saelens${hop === null ? '' : `/hop-${hop}`}`;
  return filesAt(address, saeLensOf(run, hop));
}

/** What there is for an SAE. */
export function saeLensFilesOfSae(sae: Sae): SaeLensShape {
  return filesAt(
    `/export/saes/${encodeURIComponent(encodeGlobalId('Sae', sae.id))}/saelens`,
    saeLensOfSae(sae),
  );
}

function filesAt(address: string, counterpart: ReturnType<typeof saeLensOf>): SaeLensShape {
  if (typeof counterpart !== 'string')
    return { architecture: null, unavailableReason: counterpart.reason, cfgUrl: null, weightsUrl: null };
  return {
    architecture: counterpart,
    unavailableReason: null,
    cfgUrl: `${address}/cfg.json`,
    weightsUrl: `${address}/sae_weights.safetensors`,
  };
}
