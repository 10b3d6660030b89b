ALTER TABLE "swap_measures" ADD COLUMN "known_trials" integer;--> statement-breakpoint
ALTER TABLE "swap_measures" ADD COLUMN "known_successes" integer;--> statement-breakpoint
ALTER TABLE "swap_measures" ADD COLUMN "left_out" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "interventions" ADD COLUMN "known" boolean;--> statement-breakpoint
ALTER TABLE "sweep_cells" ADD COLUMN "known_trials" integer;--> statement-breakpoint
ALTER TABLE "sweep_cells" ADD COLUMN "known_successes" integer;--> statement-breakpoint
ALTER TABLE "sweep_cells" ADD COLUMN "left_out" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "swap_measures" ADD CONSTRAINT "swap_measures_known" CHECK ("swap_measures"."known_trials" between 0 and "swap_measures"."trials" and "swap_measures"."known_successes" between 0 and least("swap_measures"."known_trials", "swap_measures"."successes"));--> statement-breakpoint
ALTER TABLE "sweep_cells" ADD CONSTRAINT "sweep_cells_known" CHECK ("sweep_cells"."known_trials" between 0 and "sweep_cells"."trials" and "sweep_cells"."known_successes" between 0 and least("sweep_cells"."known_trials", "sweep_cells"."successes"));