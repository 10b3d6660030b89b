ALTER TABLE "swap_measures" ADD COLUMN "loose_successes" integer;--> statement-breakpoint
ALTER TABLE "swap_measures" ADD COLUMN "category_kept" integer;--> statement-breakpoint
ALTER TABLE "sweep_cells" ADD COLUMN "loose_successes" integer;--> statement-breakpoint
ALTER TABLE "sweep_cells" ADD COLUMN "category_kept" integer;--> statement-breakpoint
ALTER TABLE "swap_measures" ADD CONSTRAINT "swap_measures_loose" CHECK ("swap_measures"."loose_successes" between "swap_measures"."successes" and "swap_measures"."trials");--> statement-breakpoint
ALTER TABLE "swap_measures" ADD CONSTRAINT "swap_measures_category" CHECK ("swap_measures"."category_kept" between 0 and "swap_measures"."trials" - "swap_measures"."successes");--> statement-breakpoint
ALTER TABLE "sweep_cells" ADD CONSTRAINT "sweep_cells_loose" CHECK ("sweep_cells"."loose_successes" between "sweep_cells"."successes" and "sweep_cells"."trials");--> statement-breakpoint
ALTER TABLE "sweep_cells" ADD CONSTRAINT "sweep_cells_category" CHECK ("sweep_cells"."category_kept" between 0 and "sweep_cells"."trials" - "sweep_cells"."successes");