ALTER TABLE "faithfulness" ADD COLUMN "concepts" jsonb;--> statement-breakpoint
ALTER TABLE "split_measures" ADD COLUMN "concept_value_accuracy" jsonb;--> statement-breakpoint
ALTER TABLE "split_measures" ADD COLUMN "slot_margin" double precision;--> statement-breakpoint
ALTER TABLE "split_measures" ADD COLUMN "concentration" jsonb;--> statement-breakpoint
ALTER TABLE "split_measures" ADD COLUMN "slot_concentration" jsonb;