ALTER TABLE "datasets" ADD COLUMN "prefix" text;--> statement-breakpoint
ALTER TABLE "datasets" ADD COLUMN "answer_end" text;--> statement-breakpoint
ALTER TABLE "examples" ADD COLUMN "other_answers" jsonb;